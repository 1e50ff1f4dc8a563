package sqlqueue

import (
	"os"
	"testing"

	"github.com/postrider/postrider/internal/leaktest"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Main(m)) }
