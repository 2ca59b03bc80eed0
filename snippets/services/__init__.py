"""The running example: course (과정), member (멤버) and board (게시판), a database each."""
