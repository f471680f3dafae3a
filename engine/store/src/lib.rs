pub mod error;
pub mod seam;
pub mod types;
