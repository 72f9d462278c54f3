//! Faithful fakes of the outside world, for the demo and the tests: with faults on request, and an independent log of
//! what really took effect.

pub mod fienta;
