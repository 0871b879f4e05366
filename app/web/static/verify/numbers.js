// Numbers of records: as JavaScript counts exactly up to 2^53, a BigInt beyond. Each number has one form.

export const MAX_SIZE = 2n ** 63n - 1n;
const NUMBER = /^(?:0|[1-9][0-9]{0,18})$/;

/** *digits* as Python's int() reads them: zeros in front count for nothing. */
export function parseDigits(digits) {
  return digits.length < 16 ? Number(digits) : normal(BigInt(digits));
}

/** A number as the formats of C2SP write it, or null: no zeros in front, and no more than a signed integer of 64 bits. */
export function parseNumber(text) {
  return NUMBER.test(text) && BigInt(text) <= MAX_SIZE ? parseDigits(text) : null;
}

export function next(number) {
  return typeof number === "number" && number < Number.MAX_SAFE_INTEGER ? number + 1 : normal(BigInt(number) + 1n);
}

export function before(number) {
  return typeof number === "number" ? number - 1 : normal(number - 1n);
}

/** For people: "1 record", "2,000 records". */
export function count(number, what) {
  return `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;
}

function normal(number) {
  return number <= Number.MAX_SAFE_INTEGER ? Number(number) : number;
}
