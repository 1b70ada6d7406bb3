//! The circuit core from outside, on a virtual clock.

#[cfg(test)]
mod channel;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod detection;
#[cfg(test)]
mod expiry;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod mesh;
#[cfg(test)]
mod negotiation;
#[cfg(test)]
mod pool;
#[cfg(test)]
mod world;
