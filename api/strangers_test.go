package api_test

import (
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/api"
)

func TestClientAddress(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for name, test := range map[string]struct {
		peer      string
		forwarded []string
		want      string
	}{
		"no proxy":                          {"192.0.2.1:1234", nil, "192.0.2.1/32"},
		"a stranger's claim":                {"192.0.2.1:1234", []string{"198.51.100.7"}, "192.0.2.1/32"},
		"a proxy":                           {"10.1.2.3:80", []string{"198.51.100.7"}, "198.51.100.7/32"},
		"a claim before the proxy's":        {"10.1.2.3:80", []string{"203.0.113.9, 198.51.100.7"}, "198.51.100.7/32"},
		"a claim in a line of its own":      {"10.1.2.3:80", []string{"203.0.113.9", "198.51.100.7"}, "198.51.100.7/32"},
		"two proxies":                       {"10.1.2.3:80", []string{"198.51.100.7, 10.9.9.9"}, "198.51.100.7/32"},
		"with a port":                       {"10.1.2.3:80", []string{"198.51.100.7:4711"}, "198.51.100.7/32"},
		"nonsense":                          {"10.1.2.3:80", []string{"198.51.100.7, nobody"}, "10.1.2.3/32"},
		"proxies alone":                     {"10.1.2.3:80", []string{"10.0.0.1"}, "10.0.0.1/32"},
		"IPv6 by its network":               {"[2001:db8:1:2:3:4:5:6]:80", nil, "2001:db8:1:2::/64"},
		"IPv6 behind a proxy, in brackets":  {"[fd00::1]:80", []string{"[2001:db8::7]:443"}, "2001:db8::/64"},
		"IPv4 in IPv6":                      {"[::ffff:10.1.2.3]:80", []string{"::ffff:198.51.100.7"}, "198.51.100.7/32"},
		"a network card's name is no other": {"[fe80::1%eth0]:80", nil, "fe80::/64"},
	} {
		r := &http.Request{RemoteAddr: test.peer, Header: http.Header{"X-Forwarded-For": test.forwarded}}
		if got := api.ClientAddress(proxies, r); got.String() != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func address(n uint32) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), 32)
}

func TestStrangersAreSlowedAndForgotten(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	s := api.NewStrangers(func() time.Time { return now })
	warnings, slowed := 0, 0
	for range 1000 {
		wait, due := s.Failed(address(1))
		if due > 0 {
			warnings++
		}
		if wait > 0 {
			slowed++
		}
	}
	if warnings != 1 || slowed != 980 {
		t.Errorf("%d warnings, %d slowed; want 1 and 980", warnings, slowed)
	}
	if wait, _ := s.Failed(address(2)); wait > 0 {
		t.Error("another address is slowed")
	}
	now = now.Add(time.Minute)
	if wait, due := s.Failed(address(1)); wait > 0 || due != 1000 {
		t.Errorf("a minute later: wait %s, %d requests since the last warning", wait, due)
	}

	for n := range uint32(2 * api.MaxStrangers) {
		s.Failed(address(100 + n))
		s.Failed(address(100 + n))
	}
	if s.Len() != api.MaxStrangers {
		t.Errorf("%d addresses are remembered, want %d", s.Len(), api.MaxStrangers)
	}
	if wait, _ := s.Failed(address(1 << 30)); wait == 0 {
		t.Error("addresses without a place of their own are not slowed")
	}
	now = now.Add(2 * time.Minute)
	if _, due := s.Failed(address(1 << 30)); due == 0 || s.Len() != 1 {
		t.Errorf("%d requests are told of, %d addresses are remembered", due, s.Len())
	}
}
