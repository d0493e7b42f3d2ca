/** How often a campaign that kills or restarts real processes runs: few in `npm test`, many in `test:long`. */
export function rounds(few: number, many: number): number {
  return process.env.PINAIVU_CAMPAIGN === 'long' ? many : few
}
