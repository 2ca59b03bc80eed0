-- Events that wait for the relay (snippets/outbox.py).
CREATE TABLE outbox (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id       uuid NOT NULL,
    topic          text NOT NULL,
    key            text NOT NULL,
    payload        text NOT NULL,
    correlation_id text,
    created_at     timestamptz NOT NULL DEFAULT now()
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000
);
