/** An input that was refused: which property, what was found, what was expected. */
export function refused(property: string, found: string, expected: string): Error {
  return new Error(`Seatrial: ${property}: found ${found}, expected ${expected}`);
}
