package bare

import (
	"container/heap"
	"errors"
)

// Log calls visit for a commit and its ancestors, newest generation first,
// each once. It ends early when visit returns false.
func (r *Repository) Log(from Hash, visit func(Hash) bool) error {
	seen := map[Hash]bool{from: true}
	for queue := []Hash{from}; len(queue) > 0; queue = queue[1:] {
		if !visit(queue[0]) {
			return nil
		}
		parents, err := r.parentsOf(queue[0])
		if err != nil {
			return err
		}
		for _, p := range parents {
			if !seen[p] {
				seen[p] = true
				queue = append(queue, p)
			}
		}
	}
	return nil
}

func (r *Repository) parentsOf(h Hash) ([]Hash, error) {
	if p, ok := r.parents.Load(h); ok {
		return p.([]Hash), nil
	}
	c, err := r.Commit(h)
	if err != nil {
		return nil, err
	}
	r.parents.Store(h, c.Parents)
	return c.Parents, nil
}

// IsAncestor reports whether ancestor can be reached from descendant; a commit
// is an ancestor of itself.
func (r *Repository) IsAncestor(ancestor, descendant Hash) (found bool, err error) {
	err = r.Log(descendant, func(h Hash) bool {
		found = h == ancestor
		return !found
	})
	return found, err
}

// Comparison is how one commit stands to another.
type Comparison struct {
	MergeBase Hash   // zero without common history
	Ahead     []Hash // of head and not of base, newest first
	Behind    []Hash // of base and not of head, newest first
}

// Compare tells what head has that base has not, and the other way round.
func (r *Repository) Compare(base, head Hash) (Comparison, error) {
	ofBase, ofHead := map[Hash]bool{}, map[Hash]bool{}
	var c Comparison
	collect := func(set map[Hash]bool) func(Hash) bool {
		return func(h Hash) bool { set[h] = true; return true }
	}
	if err := errors.Join(r.Log(base, collect(ofBase)), r.Log(head, collect(ofHead))); err != nil {
		return c, err
	}
	err := r.Log(head, func(h Hash) bool {
		if !ofBase[h] {
			c.Ahead = append(c.Ahead, h)
		} else if c.MergeBase.IsZero() {
			c.MergeBase = h
		}
		return true
	})
	if err != nil {
		return c, err
	}
	return c, r.Log(base, func(h Hash) bool {
		if !ofHead[h] {
			c.Behind = append(c.Behind, h)
		}
		return true
	})
}

// dated is a commit in the order of ByDate.
type dated struct {
	hash  Hash
	when  int64 // of the committer
	index int   // when it was found
}

// byDate is a heap of commits, the youngest first.
type byDate []dated

func (q byDate) Len() int { return len(q) }
func (q byDate) Less(i, j int) bool {
	if q[i].when != q[j].when {
		return q[i].when > q[j].when
	}
	return q[i].index < q[j].index
}
func (q byDate) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *byDate) Push(d any) { *q = append(*q, d.(dated)) }

// Pop implements heap.Interface.
func (q *byDate) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// ByDate returns a commit and its ancestors in the order of git log without options: of
// those that a listed commit has for parents, the one with the youngest committer's date
// comes next.
func (r *Repository) ByDate(from Hash) ([]Hash, error) {
	seen := map[Hash]bool{}
	var queue byDate
	add := func(h Hash) error {
		if seen[h] {
			return nil
		}
		seen[h] = true
		c, err := r.Commit(h)
		if err != nil {
			return err
		}
		heap.Push(&queue, dated{h, c.Committer.When.Unix(), len(seen)})
		return nil
	}
	if err := add(from); err != nil {
		return nil, err
	}
	var all []Hash
	for len(queue) > 0 {
		next := heap.Pop(&queue).(dated).hash
		all = append(all, next)
		parents, err := r.parentsOf(next)
		if err != nil {
			return nil, err
		}
		for _, p := range parents {
			if err := add(p); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}
