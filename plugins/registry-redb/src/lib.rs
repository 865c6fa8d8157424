//! A coordinator's registry in an embedded database.
