"""Pictures from recorded data: static HTML and inline SVG, each with an equal table.

Every kind is a pure function of its data. No ids are needed inside a picture, so the same picture
may stand twice on a page.
"""
