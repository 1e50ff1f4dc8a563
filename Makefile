# Each target is the CI stage of the same name; `.ci/run` alone runs all stages.
.PHONY: test lint race interop fuzz

test lint race interop fuzz:
	@.ci/run $@
