/// Values from every node to every other: row = from, column = to, NaN = missing, 0 on the diagonal.
#[derive(Clone, Debug)]
pub struct Matrix {
    size: usize,
    values: Vec<f32>,
}

impl Matrix {
    /// A matrix for `size` nodes in which everything is missing.
    pub fn missing(size: usize) -> Self {
        let mut matrix = Matrix { size, values: vec![f32::NAN; size * size] };
        for node in 0..size {
            matrix.values[node * size + node] = 0.0;
        }
        matrix
    }

    /// A matrix from its rows one after the other; `None` where they are not `size` rows of `size` values.
    /// What is negative or infinite counts as missing; the diagonal is set to 0.
    pub fn from_rows(size: usize, mut values: Vec<f32>) -> Option<Self> {
        if size.checked_mul(size)? != values.len() {
            return None;
        }
        for (index, value) in values.iter_mut().enumerate() {
            if index / size == index % size {
                *value = 0.0;
            } else if !value.is_finite() || *value < 0.0 {
                *value = f32::NAN;
            }
        }
        Some(Matrix { size, values })
    }

    /// The number of nodes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The value of the direct path; NaN where it is missing.
    ///
    /// # Panics
    /// Where a node is not below [`Matrix::size`].
    pub fn get(&self, from: usize, to: usize) -> f32 {
        self.values[from * self.size + to]
    }

    /// All values out of `from`.
    ///
    /// # Panics
    /// Where `from` is not below [`Matrix::size`].
    pub fn row(&self, from: usize) -> &[f32] {
        &self.values[from * self.size..(from + 1) * self.size]
    }

    /// Sets the value of a direct path between two different nodes.
    ///
    /// # Panics
    /// Where a node is not below [`Matrix::size`].
    pub fn set(&mut self, from: usize, to: usize, value: f32) {
        self.values[from * self.size + to] = value;
    }

    /// The matrix with rows and columns exchanged.
    pub fn transposed(&self) -> Self {
        let mut values = Vec::with_capacity(self.values.len());
        for to in 0..self.size {
            values.extend((0..self.size).map(|from| self.get(from, to)));
        }
        Matrix { size: self.size, values }
    }
}

impl PartialEq for Matrix {
    /// Missing values equal each other.
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&f32, &f32)| a == b || (a.is_nan() && b.is_nan());
        self.size == other.size && self.values.iter().zip(&other.values).all(same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_from_and_what_is_no_measurement_is_missing() {
        let matrix = Matrix::from_rows(2, vec![7.0, 1.0, -1.0, f32::INFINITY]).unwrap();
        assert_eq!((matrix.get(0, 0), matrix.get(0, 1), matrix.get(1, 1)), (0.0, 1.0, 0.0));
        assert!(matrix.get(1, 0).is_nan() && Matrix::from_rows(2, vec![0.0; 3]).is_none());
        assert_eq!(matrix.transposed().get(1, 0), 1.0);
        assert_eq!(matrix, matrix.transposed().transposed());
    }
}
