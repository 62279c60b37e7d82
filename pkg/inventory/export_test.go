package inventory

// MaxOpen is how many targets are looked into at the same time.
const MaxOpen = maxOpen

// Cost returns how many bytes the remembered files and snapshots take.
func (inv *Inventory) Cost() int64 { return inv.records.Cost() + inv.frames.Cost() }
