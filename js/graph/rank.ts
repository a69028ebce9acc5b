const INFINITY_BITS = 0x7f800000;

/**
 * Indices of `size` (non-negative) from largest to smallest: a radix sort on the bits of the
 * floats, which order like the numbers themselves. 200,000 values take a few milliseconds; a
 * comparator sort takes a hundred.
 */
export function rankDescending(size: Float32Array): Uint32Array {
  const n = size.length;
  const bits = new Uint32Array(n);
  new Float32Array(bits.buffer).set(size);
  let from = new Uint32Array(n);
  let to = new Uint32Array(n);
  for (let i = 0; i < n; i++) {
    // Descending: distance below infinity. Not a number sorts last.
    bits[i] = size[i] >= 0 ? INFINITY_BITS - bits[i] : 0xffffffff;
    from[i] = i;
  }
  const counts = new Uint32Array(65_537);
  for (const shift of [0, 16]) {
    counts.fill(0);
    for (let i = 0; i < n; i++) counts[((bits[i] >>> shift) & 0xffff) + 1]++;
    for (let k = 1; k < counts.length; k++) counts[k] += counts[k - 1];
    for (let i = 0; i < n; i++) {
      const item = from[i];
      to[counts[(bits[item] >>> shift) & 0xffff]++] = item;
    }
    [from, to] = [to, from];
  }
  return from;
}
