// What only members of a lab see: fetched from the API with their own token, never on the site.

export function member(holder) {
  holder.remove();
}
