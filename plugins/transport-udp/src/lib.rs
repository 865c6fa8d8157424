//! Datagrams straight in UDP.
