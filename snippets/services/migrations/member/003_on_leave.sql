-- Managers who take no course: the business rule that rejects.
CREATE TABLE on_leave (
    name text PRIMARY KEY
);
