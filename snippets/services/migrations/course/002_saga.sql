-- The log of sagas (snippets/saga.py).
CREATE TABLE saga (
    id       uuid PRIMARY KEY,
    name     text NOT NULL,
    data     jsonb NOT NULL,
    state    text NOT NULL,      -- running | compensating | done | compensated | stuck
    rejected boolean,            -- why it turned back: a business rule, or a service that failed
    reason   text
);
CREATE TABLE saga_step (
    saga_id uuid REFERENCES saga,
    name    text,
    state   text NOT NULL,       -- started | done | undone
    PRIMARY KEY (saga_id, name)
);
CREATE TABLE manual_queue (
    saga_id uuid REFERENCES saga,
    step    text,
    reason  text NOT NULL,
    PRIMARY KEY (saga_id, step)
);
