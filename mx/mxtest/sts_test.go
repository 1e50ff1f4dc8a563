package mxtest_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/mx/mtasts"
	"github.com/postrider/postrider/mx/mxtest"
)

func TestSTS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inet := mxtest.New(t)
		cache := inet.MTASTS()
		lookup := func() string {
			r, err := cache.Lookup(t.Context(), "example.org")
			if err != nil {
				t.Fatal(err)
			}
			if r.Policy == nil {
				return fmt.Sprint(r.Origin, " ", r.Reason)
			}
			return fmt.Sprint(r.Origin, r.Reason, " ", r.Policy.Mode, r.Policy.MX, " ", r.ID)
		}
		policy := mtasts.Policy{Mode: mtasts.Enforce, MX: []string{"*.example.org"}, MaxAge: time.Hour}
		var h *mxtest.Host
		for _, step := range []struct {
			change func()
			want   string
		}{
			{func() {}, "absent no-record"},
			{func() { h = inet.STS("Example.org.", policy) }, "fetched enforce[*.example.org] 1"},
			{func() { policy.Mode = mtasts.Testing; inet.STS("example.org", policy) }, "fetched testing[*.example.org] 2"},
			{func() { inet.STS("example.org", policy); h.SetLink(mxtest.Refused) }, "stalests-policy-fetch-error testing[*.example.org] 2"},
			{func() { h.SetLink(mxtest.Up); h.Renew(mxtest.Names("example.org")) }, "stalests-webpki-invalid testing[*.example.org] 2"},
			{func() { h.Renew(mxtest.Names(h.Name)) }, "fetched testing[*.example.org] 3"},
		} {
			step.change()
			if got := lookup(); got != step.want {
				t.Errorf("%s, want %s", got, step.want)
			}
			time.Sleep(5 * time.Minute) // for what the DNS says to be forgotten
		}
	})
}

func TestSTSOptions(t *testing.T) {
	inet := mxtest.New(t)
	policy := mtasts.Policy{Mode: mtasts.Enforce, MX: []string{"*.example.org"}, MaxAge: time.Hour}
	inet.STS("late.example", policy, mxtest.Expired)
	inet.STS("moved.example", policy, mxtest.Web(http.RedirectHandler("https://elsewhere.example/", http.StatusFound)))
	inet.STS("foreign.example", policy, mxtest.Untrusted)
	inet.STS("good.example", policy)
	cache := inet.MTASTS()
	for domain, want := range map[string]mtasts.Reason{
		"late.example":    mtasts.WebPKIInvalid,
		"moved.example":   mtasts.FetchFailed,
		"foreign.example": mtasts.WebPKIInvalid,
		"good.example":    "",
	} {
		if r, err := cache.Lookup(context.Background(), domain); err != nil || r.Reason != want {
			t.Errorf("%s: %+v, %v", domain, r, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("the options of a host that exists are ignored")
		}
	}()
	inet.STS("good.example", policy, mxtest.Expired)
}
