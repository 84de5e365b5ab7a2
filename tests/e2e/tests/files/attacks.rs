//! Races against the moment when the work begins.
