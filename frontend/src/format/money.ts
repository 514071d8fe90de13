/** An estimated price: `$1,234.50`, `less than $0.01`, `nothing`. */
export function usd(amount: number): string {
  if (amount <= 0) return "nothing";
  if (amount < 0.01) return "less than $0.01";
  return `$${amount.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}
