//! The program and the library, subject by subject.

mod broken_files;
mod cli;
mod custom_layer;
mod lsuv;
mod models;
mod net;
mod solver;
mod support;
mod wrong_nets;
