//! What the whole must do, seen from outside.
