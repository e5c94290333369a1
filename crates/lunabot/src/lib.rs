//! Wiring of the rooms.
