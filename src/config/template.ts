import { defaultOf, envName, settingList } from './settings.ts'

type Listed = (typeof settingList)[number]

/** Wide enough for sentences, narrow enough for any window. */
const columns = 78

/** What config.toml says before anybody has written into it: every option, and nothing chosen. */
export function configTemplate(): string {
  const shown = settingList.filter(({ inFile }) => inFile)
  const groups = [...new Set(shown.map(({ group }) => group))]
  return [
    ...comment(
      'The configuration of a pinaivu-peer. Every option is here, commented out, with its default ' +
        'or an example. Take the # away from one to choose it, or say "pinaivu-peer config set KEY ' +
        'VALUE". On the command line an option is --KEY, in the environment PINAIVU_KEY: both ' +
        'count before this file. A relative path is relative to the folder of this file.',
    ),
    ...groups.flatMap((group) => [
      '',
      `# ${group}`,
      ...shown.filter((each) => each.group === group).flatMap((each) => ['', ...optionLines(each)]),
    ]),
    '',
    ...comment('Other names for models, as clients of other products ask for them.'),
    '#[aliases]',
    '#"gpt-4o-mini" = "pinaivu-demo"',
    '',
  ].join('\n')
}

function optionLines(setting: Listed): string[] {
  const { flag, help } = setting
  const fallback = defaultOf(setting)
  const known = fallback === '' ? '' : ` Default: ${fallback}.`
  return [...comment(help + known), `#${flag} = ${exampleOf(setting)}`]
}

/** The default as TOML, or what stands for a value where the default is no value. */
function exampleOf({ kind, default: given, placeholder = '', flag }: Listed): string {
  if (kind === 'switch') return given[0] ?? 'true'
  const [first = placeholder] = given
  if (kind === 'one') return /^[1-9]\d*$/.test(first) ? first : JSON.stringify(first)
  return JSON.stringify(given.length > 0 ? given : [placeholder || envName(flag)]).replaceAll(
    ',',
    ', ',
  )
}

function comment(text: string): string[] {
  const lines: string[] = []
  let line = '#'
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > columns && line !== '#') {
      lines.push(line)
      line = '#'
    }
    line += ` ${word}`
  }
  return [...lines, line]
}
