// Arrays of numbers in .npy files, read whole.

const READ = { "<f8": Float64Array, "<f4": Float32Array, "<i8": BigInt64Array, "<i4": Int32Array, "<u1": Uint8Array };

// The values of a file of one dimension, as numbers.
export async function numbers(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${answer.status} for ${address}`);
  return parse(await answer.arrayBuffer());
}

export function parse(buffer) {
  const bytes = new Uint8Array(buffer);
  if (String.fromCharCode(...bytes.subarray(1, 6)) !== "NUMPY") throw new Error("no .npy file");
  const view = new DataView(buffer);
  const [length, from] = bytes[6] === 1 ? [view.getUint16(8, true), 10] : [view.getUint32(8, true), 12];
  const header = new TextDecoder().decode(bytes.subarray(from, from + length));
  const type = /'descr': '([^']+)'/.exec(header)?.[1].replace("|", "<");
  const Kind = READ[type];
  if (!Kind) throw new Error(`numbers of the type ${type} are not read here`);
  const values = new Kind(buffer.slice(from + length));
  return Kind === BigInt64Array ? Float64Array.from(values, Number) : values;
}
