package queue

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"sync"
)

// preparedMost bounds the prepared statements; there are about fifty.
const preparedMost = 200

// prepared keeps statements prepared: SQLite needs about as long to prepare one as
// to run it. Its zero value is ready. It is safe for concurrent use.
type prepared struct {
	mu     sync.Mutex
	ready  map[string]*sql.Stmt
	wanted map[string]bool // used, and not prepared yet
}

// prepare prepares the statements that were first used since the last call. It needs a
// free connection, so it cannot run within the transaction that uses them.
func (p *prepared) prepare(ctx context.Context, db *sql.DB) {
	p.mu.Lock()
	texts := slices.Collect(maps.Keys(p.wanted))
	p.wanted = nil
	p.mu.Unlock()
	for _, text := range texts {
		if statement, err := db.PrepareContext(ctx, text); err == nil { // else it is prepared with each use
			p.mu.Lock()
			if p.ready == nil {
				p.ready = map[string]*sql.Stmt{}
			}
			p.ready[text] = statement
			p.mu.Unlock()
		}
	}
}

// get returns a statement that is prepared, or nil.
func (p *prepared) get(text string) *sql.Stmt {
	p.mu.Lock()
	defer p.mu.Unlock()
	if statement := p.ready[text]; statement != nil {
		return statement
	}
	if len(p.ready)+len(p.wanted) < preparedMost {
		if p.wanted == nil {
			p.wanted = map[string]bool{}
		}
		p.wanted[text] = true
	}
	return nil
}

// preparedTx is a transaction that uses prepared statements where there are some.
type preparedTx struct {
	tx *sql.Tx
	p  *prepared
}

// ExecContext is that of sql.Tx.
func (t preparedTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if statement := t.p.get(query); statement != nil {
		return t.tx.StmtContext(ctx, statement).ExecContext(ctx, args...)
	}
	return t.tx.ExecContext(ctx, query, args...)
}

// QueryContext is that of sql.Tx.
func (t preparedTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if statement := t.p.get(query); statement != nil {
		return t.tx.StmtContext(ctx, statement).QueryContext(ctx, args...)
	}
	return t.tx.QueryContext(ctx, query, args...)
}
