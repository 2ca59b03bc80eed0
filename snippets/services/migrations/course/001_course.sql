-- A term (학기) has places for so many courses; a course without a term is held all year round.
CREATE TABLE IF NOT EXISTS term (
    name     text PRIMARY KEY,
    capacity int NOT NULL,
    courses  int NOT NULL DEFAULT 0 CHECK (courses BETWEEN 0 AND capacity),
    version  int NOT NULL DEFAULT 1
);
-- A course (과정). Its state tells readers that it may still vanish.
CREATE TABLE IF NOT EXISTS course (
    id         text PRIMARY KEY,
    title      text NOT NULL,
    manager    text NOT NULL,
    term       text REFERENCES term,
    style      text,                              -- how it was created
    state      text NOT NULL DEFAULT 'pending'
               CHECK (state IN ('pending', 'open', 'cancelling')),
    version    int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now()
);
