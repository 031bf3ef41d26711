//! housekeeping
