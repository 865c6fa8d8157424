//! The decision table, row by row, with a checksummed download across a move.
//!
//! | row | MN | CN | way |
//! | --- | --- | --- | --- |
//! | 1 | in the open | in the open | direct |
//! | 2 | behind a NAT | in the open | direct |
//! | 3 | in the open | behind a NAT | direct |
//! | 4 | behind a NAT | behind another | through the RS |
//! | 5 | behind a NAT | behind the same | direct |
//!
//! In a move of one row the mover goes to another network of the same kind, so
//! that the row holds before and after; in a move from row to row both ends go to
//! new networks at once.

mod case;
mod places;
mod run;

pub use case::{Case, Row};
pub use run::{Outcome, run};
