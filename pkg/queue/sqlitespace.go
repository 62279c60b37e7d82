package queue

import (
	"context"
	"fmt"
)

const (
	// A file hands space back while more than a part of it, as a divisor, and more than
	// vacuumSlack pages are free, which new rows would need again soon. A step is of
	// vacuumStep pages, because others wait for it.
	vacuumShare = 8
	vacuumSlack = 256
	vacuumStep  = 256
	// vacuumAtOpen bounds the file of an earlier release that is written anew when it is
	// opened, so that it can hand space back: it takes about a second. A larger one stays as
	// it is, and uses its free space again.
	vacuumAtOpen = 64 << 20
)

// autoVacuumIncremental is SQLite's number of the mode in which a file can hand space back.
const autoVacuumIncremental = 2

func (s *sqliteStore) pragma(ctx context.Context, name string) (value int64, err error) {
	err = s.writer.QueryRowContext(ctx, `PRAGMA `+name).Scan(&value)
	return value, err
}

// readyToShrink has the file of an earlier release, if it is not large, hand space back as
// new ones do.
func (s *sqliteStore) readyToShrink(ctx context.Context) error {
	var figures [3]int64
	for i, name := range []string{"auto_vacuum", "page_count", "page_size"} {
		value, err := s.pragma(ctx, name)
		if err != nil {
			return err
		}
		figures[i] = value
	}
	mode, size := figures[0], figures[1]*figures[2]
	if mode == autoVacuumIncremental || size == 0 || size > vacuumAtOpen {
		return nil
	}
	_, err := s.writer.ExecContext(ctx, `VACUUM`)
	return err
}

func (s *sqliteStore) handBack(ctx context.Context) (more bool, err error) {
	free, err := s.pragma(ctx, "freelist_count")
	if err != nil {
		return false, err
	}
	pages, err := s.pragma(ctx, "page_count")
	if err != nil || free <= max(vacuumSlack, pages/vacuumShare) {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if _, err := s.writer.ExecContext(ctx, fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, vacuumStep)); err != nil {
		return false, err
	}
	left, err := s.pragma(ctx, "freelist_count")
	return left < free, err
}
