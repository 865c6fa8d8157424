//! The paper's rule: begin from behind the NAT, else relay.
