declare module "*.json" {
  /** Address of the file beside the page. */
  const address: string;
  export default address;
}
