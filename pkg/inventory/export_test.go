package inventory

// Cost returns how many bytes the remembered files and snapshots take.
func (inv *Inventory) Cost() int64 { return inv.records.Cost() + inv.frames.Cost() }
