-- Creations by events (snippets/course_creation.py): where each stands, and who has said what.
CREATE TABLE course_creation (
    course_id text PRIMARY KEY,
    state     text NOT NULL CHECK (state IN ('running', 'completed', 'cancelling', 'failed')),
    reason    text,                   -- why it was cancelled
    due_at    timestamptz NOT NULL,   -- when the watchdog cancels it, or asks again
    asked     int NOT NULL DEFAULT 0  -- how often the others were asked to undo their parts
);
CREATE INDEX course_creation_open ON course_creation (due_at)
    WHERE state IN ('running', 'cancelling');
CREATE TABLE creation_reply (
    course_id   text REFERENCES course_creation,
    participant text,
    word        text,                 -- added | rejected | removed
    PRIMARY KEY (course_id, participant, word)
);
