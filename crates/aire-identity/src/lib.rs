//! Mesh certificate authority, enrolment tokens, SVIDs and their rotation.
