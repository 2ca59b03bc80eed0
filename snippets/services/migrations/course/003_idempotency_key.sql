-- What clients have asked for, and what they were answered (snippets/idempotency.py).
CREATE TABLE idempotency_key (
    scope        text NOT NULL,
    key          text NOT NULL,
    fingerprint  text NOT NULL,
    owner        uuid NOT NULL,
    locked_until timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    status       int,
    body         text,
    PRIMARY KEY (scope, key)
);
