//! Runs that the engine once answered wrongly, kept by name.
