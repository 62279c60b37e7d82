package api

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// networkV6 is how much of an IPv6 address counts: whoever has one has the network.
const networkV6 = 64

// proxies are the networks of the proxies in front of the service.
type proxies []netip.Prefix

// client returns the address that the request comes from: the peer's, or, where the
// peer is a proxy, the last one of X-Forwarded-For that is none. Of an IPv6 address it
// is the network. It is invalid if the peer has no address.
func (p proxies) client(r *http.Request) netip.Prefix {
	addr, ok := parseAddress(r.RemoteAddr)
	if !ok {
		return netip.Prefix{}
	}
	hops := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
	for p.trust(addr) && hops != "" {
		at := strings.LastIndexByte(hops, ',')
		hop, ok := parseAddress(strings.TrimSpace(hops[at+1:]))
		if !ok {
			break
		}
		addr, hops = hop, hops[:max(at, 0)]
	}
	bits := addr.BitLen()
	if addr.Is6() {
		bits = networkV6
	}
	network, _ := addr.Prefix(bits)
	return network
}

func (p proxies) trust(addr netip.Addr) bool {
	return slices.ContainsFunc(p, func(network netip.Prefix) bool { return network.Contains(addr) })
}

// parseAddress reads an address with or without a port.
func parseAddress(text string) (netip.Addr, bool) {
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return withPort.Addr().Unmap().WithZone(""), true
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return addr.Unmap().WithZone(""), err == nil
}
