# A worker as a service of Windows, by NSSM (https://nssm.cc), in an administrator's PowerShell:
#
#   .\windows-service.ps1 -ApiUrl https://api.example.org -Folder D:\fornix
#
# The token is asked for and kept in the service's own environment.
param(
    [Parameter(Mandatory)] [string] $ApiUrl,
    [Parameter(Mandatory)] [string] $Folder,
    [string] $Fornix = "$env:USERPROFILE\.local\bin\fornix.exe",
    [string] $Service = "FornixWorker"
)
$ErrorActionPreference = "Stop"
if (-not (Test-Path $Fornix)) { throw "there is no $Fornix : uv tool install 'fornix[worker]'" }
$token = Read-Host -AsSecureString "Token of the lab's worker account"
$plain = [System.Net.NetworkCredential]::new("", $token).Password
New-Item -ItemType Directory -Force $Folder | Out-Null

nssm install $Service $Fornix worker --folder $Folder
nssm set $Service AppEnvironmentExtra "FORNIX_API_URL=$ApiUrl" "FORNIX_TOKEN=$plain"
nssm set $Service AppStdout "$Folder\worker.log"
nssm set $Service AppStderr "$Folder\worker.log"
nssm set $Service AppRotateFiles 1
nssm set $Service AppRotateBytes 10000000
# Ctrl-C first: the running task is given back. A worker that was drained is not started again.
nssm set $Service AppStopMethodConsole 60000
nssm set $Service AppExit Default Restart
nssm set $Service AppExit 0 Exit
# Tasks see no other user's files only if the service has an account of its own.
nssm set $Service ObjectName "NT SERVICE\$Service"
icacls $Folder /grant "NT SERVICE\${Service}:(OI)(CI)F" | Out-Null
nssm start $Service
