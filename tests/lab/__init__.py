"""Tests of the labs runtime."""
