//! Address, link and route changes from rtnetlink.
