//! What joins the rooms: the ports that one room offers and another needs.

pub mod health;
pub mod kinds;
pub mod local_worker;
pub mod master_port;
pub mod metrics;
pub mod pollers;
