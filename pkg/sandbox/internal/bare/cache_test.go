package bare

import "testing"

func TestCacheKeepsItsBound(t *testing.T) {
	t.Parallel()
	key := func(i byte) Hash { return Hash{i} }
	c := newCache[int](100)
	for i := range byte(6) {
		c.put(key(i), int(i), 20)
		c.get(key(0)) // the first stays because it is used
	}
	for i, want := range []bool{true, false, true, true, true, true} {
		if v, ok := c.get(key(byte(i))); ok != want || ok && v != i {
			t.Errorf("value %d: %d, kept %t, want %t", i, v, ok, want)
		}
	}
	c.put(key(9), 9, 26)
	if _, ok := c.get(key(9)); ok {
		t.Error("a value of more than a quarter of the bound is kept")
	}
	c.put(key(0), 1, 20)
	if v, _ := c.get(key(0)); v != 0 || c.used != 100 {
		t.Errorf("a known key changed to %d, %d bytes used", v, c.used)
	}
}
