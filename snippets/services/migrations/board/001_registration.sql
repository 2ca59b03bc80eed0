-- The board (게시판) of a course. One row a course: the course's id is the key of the request.
CREATE TABLE registration (
    course_id  text PRIMARY KEY,
    name       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
