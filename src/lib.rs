//! cortado
