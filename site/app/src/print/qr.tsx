// A QR code of an address, as SVG.
import { encode } from "uqr";

export function Qr({ address }: { address: string }) {
  const { data, size } = encode(address, { border: 1, ecc: "M" });
  let path = "";
  data.forEach((line, y) => line.forEach((dark, x) => (path += dark ? `M${x},${y}h1v1h-1z` : "")));
  return (
    <svg class="qr" viewBox={`0 0 ${size} ${size}`} role="img" aria-label={`QR code of ${address}`} shape-rendering="crispEdges">
      <rect width={size} height={size} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  );
}
