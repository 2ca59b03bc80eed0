-- A cancelled course must stay cancelled: the request to create may arrive after the one to cancel.
CREATE TABLE tombstone (
    course_id    text PRIMARY KEY,
    cancelled_at timestamptz NOT NULL DEFAULT now()
);
